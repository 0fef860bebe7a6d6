/* What others wrote (logs, descriptions, the names of things) must not act on our user's terminal:
 * once guarded, stdout and stderr spell control characters out where they are one (base/visible.h).
 * Into files and pipes everything goes as it is. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdio.h>

#include "base/str.h"

void terminal_guard(void); /* once, at the beginning of the program */
/* stdout where colours may stay: for our own, and for builds', which the API looks through. Flush
 * stdout before, and it after. */
FILE *terminal_colours(void);
/* The text as it may stand among our colours; takes it, gives the caller's. */
char *terminal_text(char *text);

#endif
