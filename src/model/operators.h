/* The operators, a line each: what rooms that may not include an operator have to know of it. Its
 * `tbl.h` holds rows and nothing else. Who includes this file defines the macros of the rows it
 * wants; it may be included any number of times.
 *
 *   OPERATOR(room)                            the room has a `struct operator_desc room_operator`
 *   TEXT(name, default, help)                 a setting of davit.conf and docs/settings.md …
 *   NUMBER(name, default, min, max, help)     … of these bounds
 *   PROGRAM(program, package)                 what it runs, and the Debian package that has it
 *   PACKAGE(package)                          a Debian package it needs besides
 *
 * The build takes the operators from here too, and davitd starts and tears them down in this
 * order: what sends requests before what answers them. */
#ifndef OPERATOR
#define OPERATOR(room)
#endif
#ifndef TEXT
#define TEXT(name, standard, help)
#endif
#ifndef NUMBER
#define NUMBER(name, standard, min, max, help)
#endif
#ifndef PROGRAM
#define PROGRAM(program, package)
#endif
#ifndef PACKAGE
#define PACKAGE(package)
#endif

#include "model/tbl.h"

#include "gateway/tbl.h"
#include "release/tbl.h"
#include "run/tbl.h"
#include "builder/tbl.h"
#include "api/tbl.h"

#undef OPERATOR
#undef TEXT
#undef NUMBER
#undef PROGRAM
#undef PACKAGE
