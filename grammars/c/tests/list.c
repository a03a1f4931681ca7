/* What the file is for. */
#include <stdio.h>

#define LIMIT 10
#define MAX(a, b) \
    ((a) > (b) ? (a) : (b))

// A node
// of a list.
struct node {
    int value; /* not about the next */
    struct node *next, **all;
    char name[16];
    void (*visit)(struct node *);
    unsigned flag : 1;
    union {
        int inner;
    } payload;
};

typedef struct {
    int x, y;
} point_t;

typedef struct node node_t;
typedef int (*compare_t)(const void *, const void *);
typedef unsigned char byte_t, *bytes_t;

enum color { RED, GREEN = 2 };

typedef enum { ON, OFF } switch_t;

static int counter = 0;
extern const char *names[];
int table[2] = {1, 2}, *cursor;
static struct local_type {
    int z;
} instance;

int add(int a, int b);
char *copy(const char *text);

/** Adds two
 * numbers. */
static inline int
add(int a, int b)
{
    int local = a;
    static int kept;
    return local + b + kept;
}

char **
split(char *text, int (*callback)(int))
{
    return NULL;
}

#ifdef WIN32
void only_on_windows(void) {}
#endif

int main(int argc, char **argv) {
    struct inner {
        int q;
    } here;
    return 0;
}
