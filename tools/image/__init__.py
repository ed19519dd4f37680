"""Builds the emulated gateway: the firmware's own files on Debian's packages, for QEMU and continuous integration.

The real image is Buildroot's (``buildroot_external/``). This one has the same overlay, init scripts, daemon, guard,
boot script and disk layout, and is there in a minute, from packages whose versions and hashes are in
``packages.lock`` and ``requirements/image.lock``. Nothing that is made for the other machine is ever executed here.

``archive`` and ``wheels`` fetch, ``rootfs`` puts the root together, ``kernel`` and ``initramfs`` what boots it,
``slots`` makes a system slot of it, ``disk`` the card, ``bundle`` the signed update.
"""
