#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace dchag {

/// Asks the system to back host memory that nothing has touched yet with large pages, where it can: fewer page faults
/// and fewer translations of addresses. A hint, for blocks of megabytes; nothing changes for its readers.
inline void prefer_large_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr std::uintptr_t page = std::uintptr_t{1} << 21;
  std::uintptr_t const address = reinterpret_cast<std::uintptr_t>(data), begin = (address + page - 1) / page * page,
                       end = (address + bytes) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace dchag
