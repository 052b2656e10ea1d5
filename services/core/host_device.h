// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Marks element functions that scalar loops, SIMD tails and CUDA kernels share. One macro of our
// own: defining __host__ for everybody would break other people's headers.
#if defined(__CUDACC__)
#define DESK_HD __host__ __device__
#else
#define DESK_HD
#endif
