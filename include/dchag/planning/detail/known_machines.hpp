#pragma once

namespace dchag::detail {

/// Vendors' peaks, and what share of them is taken as attained. The shares are assumptions, the same for all, so that
/// machines compare fairly; measure yours with benchmarks/calibrate where it matters:
///  - products: 0.55 of the matrix units' peak in bfloat16, 0.7 of the float peak that the BLAS uses (matrix units on
///    AMD, vector units on NVIDIA: TF32 is not used). Large square products reach more, the thin ones of divided heads
///    and hidden features less;
///  - loops: 0.3 of the vector units' float peak;
///  - memory: 0.8 of the peak bandwidth, what stream benchmarks reach on all of these;
///  - links: 0.75 of the peak of one direction. The network is one rank's share of its node's adapters;
///  - latency: 5 us for a step of a collective in a node, 10 us in the network; 6 us for a kernel.
inline constexpr char const* known_machines = R"([
{"name": "MI250X die",
 "source": "One of the two dies of an AMD Instinct MI250X, as on Frontier (OLCF user guide: 8 a node, 64 GB and 1.6 TB/s each, four 25 GB/s adapters a node). AMD data sheet, half of the card: 191.5 TFLOP/s bfloat16 matrix, 47.9 float matrix, 23.9 float vector, 47.9 double matrix. 50 GB/s and more between dies. Memory: 63.98 GiB are offered to programs, as published runs report.",
 "memory_gib": 63.98, "float_gflops": 33500, "double_gflops": 33500, "bfloat16_gflops": 105300, "loop_gflops": 7200,
 "bandwidth_gb_s": 1310, "launch_us": 6, "node_latency_us": 5, "node_gb_s": 37.5, "network_latency_us": 10,
 "network_gb_s": 9.4, "ranks_a_node": 8},
{"name": "MI300X",
 "source": "AMD Instinct MI300X data sheet: 192 GB, 5.3 TB/s, 1307.4 TFLOP/s bfloat16 matrix, 163.4 float matrix and vector, 163.4 double matrix; seven links of 64 GB/s a direction, 8 a node. One 400 Gb/s adapter a device is assumed.",
 "memory_gib": 191, "float_gflops": 114400, "double_gflops": 114400, "bfloat16_gflops": 719000, "loop_gflops": 49000,
 "bandwidth_gb_s": 4240, "launch_us": 6, "node_latency_us": 5, "node_gb_s": 336, "network_latency_us": 10,
 "network_gb_s": 37.5, "ranks_a_node": 8},
{"name": "A100",
 "source": "NVIDIA A100 80GB SXM data sheet: 80 GB, 2.04 TB/s, 312 TFLOP/s bfloat16 tensor, 19.5 float, 19.5 double tensor; NVLink 300 GB/s a direction; DGX A100: 8 a node, one 200 Gb/s adapter a device.",
 "memory_gib": 79, "float_gflops": 13600, "double_gflops": 13600, "bfloat16_gflops": 171600, "loop_gflops": 5850,
 "bandwidth_gb_s": 1630, "launch_us": 6, "node_latency_us": 5, "node_gb_s": 225, "network_latency_us": 10,
 "network_gb_s": 18.8, "ranks_a_node": 8},
{"name": "H100",
 "source": "NVIDIA H100 SXM data sheet: 80 GB, 3.35 TB/s, 989 TFLOP/s bfloat16 tensor without sparsity, 67 float, 67 double tensor; NVLink 450 GB/s a direction; DGX H100: 8 a node, one 400 Gb/s adapter a device.",
 "memory_gib": 79, "float_gflops": 46900, "double_gflops": 46900, "bfloat16_gflops": 544000, "loop_gflops": 20100,
 "bandwidth_gb_s": 2680, "launch_us": 6, "node_latency_us": 5, "node_gb_s": 337, "network_latency_us": 10,
 "network_gb_s": 37.5, "ranks_a_node": 8}
])";

}  // namespace dchag::detail
