#!/usr/bin/env bash
# Install Prometheus, which some proofs of `make test-slow` need, where that can be done; without it they are skipped.
set -u
command -v prometheus >/dev/null && exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends prometheus >/dev/null
exit 0
