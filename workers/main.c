/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

int main(int argc, char **argv)
{
    return daemon_main(&worker_program, argc, argv);
}
