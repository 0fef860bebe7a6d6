/* What verbs print: tables for people, JSON for programs. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "cli/cli.h"

enum column_style {
    COLUMN_TEXT,
    COLUMN_NUMBER,
    COLUMN_STATE, /* coloured by what it means */
    COLUMN_WHEN,
    COLUMN_RELEASE, /* v3 */
    COLUMN_PROCESS, /* web.1, from the fields `type` and `index` */
};

struct column {
    const char *title;
    const char *field; /* of an item; dots go deeper: "status.state" */
    enum column_style style;
};

/* Prints a document {"items": […]}: as it is with --json, else as a table, or `nothing` on stderr
 * if there are none. Columns are ended by one without a title. */
int table_print(const struct cli *cli, const json_t *doc, const struct column *columns,
                const char *nothing, struct err *err);
/* The same columns as lines of one document: "Name:  shop". Empty ones are left out. */
void fields_print(const struct cli *cli, const json_t *doc, const struct column *columns);
void json_print(const json_t *doc);
/* The field as text, dots go deeper; the caller's. "" if it isn't there; lists and objects in one
 * line: "a, b" and "web=2, worker=1". */
char *field_text(const json_t *item, const char *field);
/* "3m ago" on a terminal, the time itself elsewhere; the caller's. */
char *when_text(const char *rfc3339);
bool colour_wanted(void); /* stdout is a terminal and NO_COLOR isn't set */

#endif
