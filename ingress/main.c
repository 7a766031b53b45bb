/* SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"

int main(int argc, char **argv)
{
    return daemon_main(&ingress_program, argc, argv);
}
