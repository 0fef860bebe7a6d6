/* What may be called how. Every check says what is wrong and what is allowed. */
#ifndef MODEL_NAMES_H
#define MODEL_NAMES_H

#include "base/str.h"

enum { APP_NAME_MAX = 30, PROCESS_TYPE_MAX = 63, HOST_MAX = 253, CONFIG_VARS_MAX = 32 * 1024 };

/* 1–30 of a–z 0–9 and inner '-', starting with a letter; not a name Davit itself uses (api, www,
 * davit, …). */
int app_name_check(const char *name, struct err *err);
/* [A-Za-z0-9_-]{1,63} */
int process_type_check(const char *type, struct err *err);
/* [A-Za-z_][A-Za-z0-9_]*, not PORT or DAVIT_… which the platform sets. */
int config_name_check(const char *name, struct err *err);
/* A DNS host name, lower case, at most 253 characters, at least two labels; a leading "*." is fine.
 */
int host_check(const char *host, struct err *err);
/* A user's name: 1–32 of a–z 0–9 - _ . @ starting with a letter. */
int user_name_check(const char *name, struct err *err);

#endif
