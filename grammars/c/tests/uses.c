#include <stdlib.h>
#include "store/rows.h"

static struct table *table;

int walk(const row_t *row, struct step steps[], int depth)
{
    size_t count = row->count;
    char *name = row_name(row), *other = NULL;
    for (int at = 0; at < MAX_STEPS; at++) {
        steps[at].run(name, &default_row, depth);
    }
    free(name);
    return (int) count + sizeof(struct wide_row);
}
