/* SPDX-License-Identifier: Apache-2.0 */
/* What all models share. A rule is taken out with -DBREAK_<rule>. */

/* An invariant, by name: pan reports "assertion violated <name>". */
#define must(name, condition) name = (condition); assert(name)

/* A fault is drawn from the bounded store of them. */
#define fault faults > 0 -> faults--

#define NONE 0
#define ACCEPTED 1
#define QUEUED 2
#define RUNNING 3
#define WAITING 4
#define IN_DOUBT 5
/* from here on: final */
#define SUCCEEDED 6
#define FAILED 7
#define CANCELED 8
#define EXPIRED 9

#ifndef FAULTS
#define FAULTS 2
#endif
