/* What a build has to know of a Python app before anything runs: which Python it asks for, and what
 * installs it. */
#ifndef BUILDER_PYTHON_H
#define BUILDER_PYTHON_H

#include "builder/semver.h"
#include "model/codec.h"

/* *ret_matches: whether the version lies in the range, as PEP 440 writes it (">=3.11,!=3.12.*",
 * "~=3.11") or Poetry ("^3.11", "~3.11", "3.11.*", "<3.12 || >3.13"). Pre-releases are taken for
 * the release. ERR_INVALID for what is no range. Pure. */
int python_in_range(struct semver v, struct str range, bool *ret_matches, struct err *err);

/* The highest of the n `offered` that .python-version, runtime.txt, pyproject.toml and Pipfile in
 * `dir` all ask for; *ret_asked: whether any of them says anything. ERR_UNPROCESSABLE says who asks
 * for what, and what can be had. */
int python_choose(const char *dir, const struct semver *offered, size_t n, size_t *ret,
                  bool *ret_asked, struct err *err);

/* What installs the app in `dir`: "pip" by requirements.txt, "pipenv", "poetry" or "uv" by their
 * lock files, "project" by pyproject.toml or setup.py, "" if there is nothing to install. *ret_by
 * is the file that decides it; what else there is and does not count is added to `ignored`.
 * ERR_UNPROCESSABLE for a Pipfile without its lock file. */
int python_installer(const char *dir, const char **ret, const char **ret_by, struct strv *ignored,
                     struct err *err);

#endif
