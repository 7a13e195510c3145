"""Networks: a backbone that makes features and a head that maps them to classes."""
