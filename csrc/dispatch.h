/* The kernel table that this process uses. It is chosen when the library or program is loaded; the
 * extension module chooses again when it is imported, to refuse an unknown name. */
#ifndef PEPG_DISPATCH_H
#define PEPG_DISPATCH_H

#include "kernels.h"

/* The table in use; never NULL. */
extern const pepg_kernels *pepg_active;

/* Name of the i-th unit that is built and that this CPU can run, slowest first; NULL past the last.
 */
const char *pepg_isa_usable(int i);

/* Name of the i-th unit that is built, whether this CPU can run it or not; NULL past the last. */
const char *pepg_isa_built(int i);

/* Use the named unit, or the fastest if `name` is NULL. Returns 0, or -1 and changes nothing if it
 * cannot be used. Not for use while another thread is inside a kernel. */
int pepg_select_isa(const char *name);

#endif
