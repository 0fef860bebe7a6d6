/* A shim does much in its first ten milliseconds and almost nothing for months after. */
#ifndef SHIM_TRIM_H
#define SHIM_TRIM_H

/* Unmaps the program's text and constants: what is needed again comes back from the page cache by
 * itself, and the start-up code stays away. */
void trim_program(void);

#endif
