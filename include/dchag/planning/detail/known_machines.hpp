#pragma once

namespace dchag::detail {

/// Vendors' peaks, and what share of them is taken as attained. The shares are assumed, the same for all, so that
/// machines compare fairly; measure yours with benchmarks/calibrate where it matters:
///  - products: 0.55 of the matrix units' peak in bfloat16, 0.7 of the float peak that the BLAS uses (matrix units on
///    AMD, vector units on NVIDIA: TF32 is not used). Large square products reach more, the thin ones of divided heads
///    and hidden features less;
///  - loops: 0.3 of the vector units' float peak;
///  - memory: 0.8 of the peak bandwidth, what stream benchmarks reach on all of these;
///  - links: 0.75 of the peak of one direction, as AMD says of its own. The network is one rank's share of its node's
///    adapters;
///  - latency: 5 us for a step of a collective in a node, 10 us in the network; 6 us for a kernel.
inline constexpr char const* known_machines =
    R"([{"name": "MI250X die", "source": ")"
    "AMD Instinct MI250X, one of its two dies, in a node of Frontier. Frontier User Guide (OLCF,"
    " docs.olcf.ornl.gov/systems/frontier_user_guide.html): 8 dies a node, each with 110 compute units, 64 GB and 1.6"
    " TB/s; 50 to 100 GB/s between dies of two cards; four adapters of 25 GB/s a node. AMD matrix cores (AMD,"
    " gpuopen.com/learn/amd-lab-notes/amd-lab-notes-matrix-cores-readme): a compute unit does 1024 operations a clock"
    " in bfloat16 and 256 in float or double in its matrix cores, 128 in float in its vector units; at 1.7 GHz (AMD,"
    " ROCm documentation: MI250 microarchitecture) a die has 191.5, 47.9 and 23.9 TFLOP/s. 63.98 GiB are what the runs"
    " of arXiv 2506.21411 report. Assumed: attained shares and latencies."
    R"(",)"
    R"( "memory_gib": 63.98, "float_gflops": 33500, "double_gflops": 33500, "bfloat16_gflops": 105300,)"
    R"( "loop_gflops": 7200, "bandwidth_gb_s": 1310, "launch_us": 6, "node_latency_us": 5, "node_gb_s": 37.5,)"
    R"( "network_latency_us": 10, "network_gb_s": 9.4, "ranks_a_node": 8},)"
    R"({"name": "MI300X", "source": ")"
    "AMD Instinct MI300X. MI300 series microarchitecture (AMD, ROCm documentation): 5.3 TB/s; 1307.4 TFLOP/s in"
    " bfloat16, 163.4 in float and double of the matrix cores, 163.4 in float of the vector units; seven links, one to"
    " each other device of a node of 8. Understanding RCCL Bandwidth and xGMI Performance on MI300X (AMD,"
    " rocm.blogs.amd.com/software-tools-optimization/mi300x-rccl-xgmi): a link has 64 GB/s, of which 48 are usable."
    " 192 GB: AMD's submission to MLPerf inference 4.1. Assumed: 191 GiB for programs, one adapter of 400 Gb/s a"
    " device, other attained shares and latencies."
    R"(",)"
    R"( "memory_gib": 191, "float_gflops": 114400, "double_gflops": 114400, "bfloat16_gflops": 719000,)"
    R"( "loop_gflops": 49000, "bandwidth_gb_s": 4240, "launch_us": 6, "node_latency_us": 5, "node_gb_s": 336,)"
    R"( "network_latency_us": 10, "network_gb_s": 37.5, "ranks_a_node": 8},)"
    R"({"name": "A100", "source": ")"
    "NVIDIA A100 80GB SXM. Data sheet (NVIDIA, A100 Tensor Core GPU; read as"
    " glennklockwood.com/garden/processors/A100 quotes it): 80 GB, 2.04 TB/s; 312 TFLOP/s in bfloat16 and 19.5 in"
    " double of the tensor cores, 19.5 in float of the vector units; NVLink of 300 GB/s a direction. DGX A100 (NVIDIA,"
    " documents of MLPerf inference): 8 a node, one ConnectX-6 adapter a device. Assumed: 79 GiB for programs, 200"
    " Gb/s of an adapter, attained shares and latencies."
    R"(",)"
    R"( "memory_gib": 79, "float_gflops": 13600, "double_gflops": 13600, "bfloat16_gflops": 171600,)"
    R"( "loop_gflops": 5850, "bandwidth_gb_s": 1630, "launch_us": 6, "node_latency_us": 5, "node_gb_s": 225,)"
    R"( "network_latency_us": 10, "network_gb_s": 18.8, "ranks_a_node": 8},)"
    R"({"name": "H100", "source": ")"
    "NVIDIA H100 SXM. Data sheet (NVIDIA, H100 Tensor Core GPU; read as"
    " archive-lib.hpctech.co.jp/gpuproduct/nvidia-h100.html quotes it): 80 GB, 3.35 TB/s; 989 TFLOP/s in bfloat16"
    " without sparsity and 67 in double of the tensor cores, 67 in float of the vector units. Introducing NVIDIA HGX"
    " H100 (NVIDIA, developer.nvidia.com/blog): 8 a node, NVLink of 450 GB/s a direction. DGX H100 (NVIDIA, documents"
    " of MLPerf inference 3.1): one 400 Gb/s adapter a device. Assumed: 79 GiB for programs, attained shares and"
    " latencies."
    R"(",)"
    R"( "memory_gib": 79, "float_gflops": 46900, "double_gflops": 46900, "bfloat16_gflops": 544000,)"
    R"( "loop_gflops": 20100, "bandwidth_gb_s": 2680, "launch_us": 6, "node_latency_us": 5, "node_gb_s": 337,)"
    R"( "network_latency_us": 10, "network_gb_s": 37.5, "ranks_a_node": 8}])";

}  // namespace dchag::detail
