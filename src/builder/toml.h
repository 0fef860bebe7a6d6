/* Reads single texts out of TOML 1.0 documents (pyproject.toml, Pipfile). */
#ifndef BUILDER_TOML_H
#define BUILDER_TOML_H

#include "base/str.h"

/* The text at `path`, names joined by dots ("tool.poetry.dependencies.python"), the caller's; NULL
 * if there is none, or what is there is no text. Tables, inline tables and dotted keys are all
 * the same to it; escapes stay as they are written. Not within arrays. Pure. */
char *toml_text(struct str document, const char *path);

#endif
