OPERATOR(release)
