"""Records of SiteManagers: ``domains`` own ``registry``'s appliances, which have ``devices`` with ``services``.

``waiting`` are those that came without a claim. Functions take a database session and are one step of a transaction;
what is wrong with what a person asked is an InputError.
"""
