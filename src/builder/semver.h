/* Versions and ranges as npm understands them (semver.org 2.0; node-semver's ranges): "18.x",
 * ">=16 <21", "^20.1", "~18.2.3", "18 || 20", "16.0.0 - 18". Versions with a pre-release part count
 * for no range. Pure. */
#ifndef BUILDER_SEMVER_H
#define BUILDER_SEMVER_H

#include "base/str.h"

struct semver {
    int64_t major, minor, patch;
};

/* "v20.1.0", "20.1.0"; a pre-release or anything else is ERR_INVALID. */
int semver_parse(struct str text, struct semver *ret, struct err *err);
int semver_compare(struct semver a, struct semver b);
/* *ret_matches: whether the version lies in the range. ERR_INVALID for what is no range. */
int semver_in_range(struct semver v, struct str range, bool *ret_matches, struct err *err);

#endif
