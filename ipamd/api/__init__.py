"""HTTP: the lean CNI route, the admin API, and the listeners they share."""
