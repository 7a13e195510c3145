"""Archives of images, read where they lie: nothing is ever written under a name that an archive holds."""
