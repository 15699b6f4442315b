#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <array>
#include <cstddef>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/types.hpp>
#include <dchag/parallel/detail/mpi.hpp>
#include <exception>
#include <limits>
#include <memory>
#include <type_traits>

namespace dchag {

enum class Reduction { sum, max };

/// Which memory goes through a host buffer on its way to MPI: none where MPI reads device memory, that of devices where
/// it does not. `always` stages host memory too: the same path, to be tried without a device.
enum class Staging { never, device, always };

/// How often each verb of a communicator was called, and how many bytes this rank handed over in it: the buffer it
/// sends from, whatever MPI makes of it.
struct Traffic {
  struct Verb {
    Index calls = 0;
    Index bytes = 0;
    bool operator==(Verb const&) const = default;
  };
  Verb all_reduce, all_gather, reduce_scatter, all_to_all, broadcast, barrier;

  Index calls() const {
    return all_reduce.calls + all_gather.calls + reduce_scatter.calls + all_to_all.calls + broadcast.calls +
           barrier.calls;
  }
  Index bytes() const {
    return all_reduce.bytes + all_gather.bytes + reduce_scatter.bytes + all_to_all.bytes + broadcast.bytes +
           barrier.bytes;
  }
  void reset() { *this = {}; }
  bool operator==(Traffic const&) const = default;
};

namespace detail {

/// What the copies of a communicator share. Never made for one rank.
struct CommunicatorState {
  using Buffer = Kokkos::View<std::byte*, Kokkos::SharedHostPinnedSpace>;

  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0, size = 1;
  Staging staging = Staging::device;
  Traffic traffic;
  Buffer buffer;  // grows to the largest message

  CommunicatorState() = default;
  CommunicatorState(CommunicatorState const&) = delete;
  CommunicatorState& operator=(CommunicatorState const&) = delete;
  ~CommunicatorState() {
    // Freeing is collective: an exception on its way up must not wait for ranks that do not come here.
    if (comm != MPI_COMM_NULL && std::uncaught_exceptions() == 0 && !mpi_finalized()) MPI_Comm_free(&comm);
  }

  std::byte* staged(std::size_t bytes) {
    if (buffer.size() < bytes) {
      buffer = Buffer();
      buffer = Buffer(Kokkos::view_alloc(Kokkos::WithoutInitializing, "dchag::communicator"), bytes);
    }
    return buffer.data();
  }
};

}  // namespace detail

/// A group of ranks and the collectives among them, on contiguous Kokkos views of float, double or an integer type.
/// Every verb must be called by all ranks of the group, in the same order, with the same sizes; it waits for the
/// context's kernels before and returns when its result may be used. In a dry context it does nothing. Failures of MPI
/// are thrown as Error.
///
/// A communicator of one rank, which is also the default, does nothing and never calls MPI. Copies are the same
/// communicator and count together.
class Communicator {
 public:
  Communicator() = default;

  /// A duplicate of an MPI communicator, freed with the last copy. Collective.
  explicit Communicator(MPI_Comm comm, Staging staging = Staging::device) {
    MPI_Comm duplicate = MPI_COMM_NULL;
    detail::check_mpi(MPI_Comm_dup(comm, &duplicate), "MPI_Comm_dup");
    adopt(duplicate, staging);
  }

  int rank() const { return state_ ? state_->rank : 0; }
  int size() const { return state_ ? state_->size : 1; }

  Traffic const& traffic() const {
    static Traffic const none;
    return state_ ? state_->traffic : none;
  }
  void reset_traffic() const {
    if (state_) state_->traffic.reset();
  }

  /// The ranks that give the same color (not negative), ordered by key and then by rank here.
  Communicator split(int color, int key) const {
    require(color >= 0, "communicator: split by color = ", color, ": use colors from 0 on");
    Communicator part;
    if (size() == 1) return part;
    MPI_Comm comm = MPI_COMM_NULL;
    detail::check_mpi(MPI_Comm_split(state_->comm, color, key, &comm), "MPI_Comm_split");
    part.adopt(comm, state_->staging);
    return part;
  }

  /// values = the sum (or maximum) of all ranks' values, element by element, on every rank.
  template <class Space, class Values>
  void all_reduce(Context<Space> const& context, Values const& values, Reduction reduction = Reduction::sum) const {
    using T = typename Values::non_const_value_type;
    Index const count = elements("all_reduce", values);
    if (idle(context)) return;
    exchange(
        context, state_->traffic.all_reduce, values.data(), count, values.data(), count, [&](T const* from, T* to) {
          for_pieces("MPI_Allreduce", count, [&](Index first, int piece) {
            void const* source = from == to ? MPI_IN_PLACE : from + first;
            return MPI_Allreduce(source, to + first, piece, detail::mpi_type<T>(), operation(reduction), state_->comm);
          });
        });
  }

  /// The sum (or maximum) of a few numbers of the host from every rank.
  template <detail::MpiNumber T, std::size_t numbers>
  std::array<T, numbers> all_reduce(std::array<T, numbers> values, Reduction reduction = Reduction::sum) const {
    if (size() == 1) return values;
    count(state_->traffic.all_reduce, sizeof(values));
    detail::check_mpi(MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(numbers), detail::mpi_type<T>(),
                                    operation(reduction), state_->comm),
                      "MPI_Allreduce");
    return values;
  }
  template <detail::MpiNumber T>
  T all_reduce(T value, Reduction reduction = Reduction::sum) const {
    return all_reduce(std::array<T, 1>{value}, reduction)[0];
  }

  /// whole = the parts of all ranks one after the other, by rank. The part may be this rank's place in the whole.
  template <class Space, class Part, class Whole>
  void all_gather(Context<Space> const& context, Part const& part, Whole const& whole) const {
    using T = typename Whole::non_const_value_type;
    Index const piece = pieces("all_gather", part, whole);
    if (size() == 1) return copy(context, part, whole);
    if (context.dry()) return;
    exchange(context, state_->traffic.all_gather, part.data(), piece, whole.data(), piece * size(),
             [&](T const* from, T* to) {
               int const number = narrow("all_gather", piece);
               void const* source = from == to + rank() * piece ? MPI_IN_PLACE : from;
               detail::check_mpi(MPI_Allgather(source, number, detail::mpi_type<T>(), to, number, detail::mpi_type<T>(),
                                               state_->comm),
                                 "MPI_Allgather");
             });
  }

  /// part = the rank-th of equal pieces of the sum (or maximum) of all ranks' wholes. The part lies outside the whole.
  template <class Space, class Whole, class Part>
  void reduce_scatter(Context<Space> const& context, Whole const& whole, Part const& part,
                      Reduction reduction = Reduction::sum) const {
    using T = typename Part::non_const_value_type;
    Index const piece = pieces("reduce_scatter", part, whole);
    if (size() == 1) return copy(context, whole, part);
    if (context.dry()) return;
    exchange(context, state_->traffic.reduce_scatter, whole.data(), piece * size(), part.data(), piece,
             [&](T const* from, T* to) {
               detail::check_mpi(MPI_Reduce_scatter_block(from, to, narrow("reduce_scatter", piece),
                                                          detail::mpi_type<T>(), operation(reduction), state_->comm),
                                 "MPI_Reduce_scatter_block");
             });
  }

  /// The rank-th of equal pieces of `outgoing` goes to that rank; the pieces that arrive stand in `incoming`, by rank.
  template <class Space, class Outgoing, class Incoming>
  void all_to_all(Context<Space> const& context, Outgoing const& outgoing, Incoming const& incoming) const {
    using T = typename Incoming::non_const_value_type;
    Index const whole = elements("all_to_all", outgoing), piece = whole / size();
    require(whole == elements("all_to_all", incoming) && whole % size() == 0, "communicator: all_to_all of ", whole,
            " elements into ", incoming.size(), " among ", size(),
            " ranks: both must be the same multiple of the ranks");
    if (size() == 1) return copy(context, outgoing, incoming);
    if (context.dry()) return;
    exchange(context, state_->traffic.all_to_all, outgoing.data(), whole, incoming.data(), whole,
             [&](T const* from, T* to) {
               int const number = narrow("all_to_all", piece);
               detail::check_mpi(
                   MPI_Alltoall(from, number, detail::mpi_type<T>(), to, number, detail::mpi_type<T>(), state_->comm),
                   "MPI_Alltoall");
             });
  }

  /// values = those of rank `root`, on every rank.
  template <class Space, class Values>
  void broadcast(Context<Space> const& context, Values const& values, int root = 0) const {
    using T = typename Values::non_const_value_type;
    Index const count = elements("broadcast", values);
    require(root >= 0 && root < size(), "communicator: broadcast from rank ", root, " of ", size());
    if (idle(context)) return;
    bool const sends = rank() == root;
    exchange(context, state_->traffic.broadcast, values.data(), sends ? count : 0, values.data(), sends ? 0 : count,
             [&](T const* from, T* to) {
               T* const data = sends ? const_cast<T*>(from) : to;
               for_pieces("MPI_Bcast", count, [&](Index first, int piece) {
                 return MPI_Bcast(data + first, piece, detail::mpi_type<T>(), root, state_->comm);
               });
             });
  }

  /// Returns when every rank has called it. Says nothing about kernels.
  void barrier() const {
    if (size() == 1) return;
    count(state_->traffic.barrier, 0);
    detail::check_mpi(MPI_Barrier(state_->comm), "MPI_Barrier");
  }

 private:
  void adopt(MPI_Comm comm, Staging staging) {
    auto state = std::make_shared<detail::CommunicatorState>();
    state->comm = comm;
    state->staging = staging;
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    detail::check_mpi(MPI_Comm_rank(comm, &state->rank), "MPI_Comm_rank");
    detail::check_mpi(MPI_Comm_size(comm, &state->size), "MPI_Comm_size");
    if (state->size > 1) state_ = std::move(state);
  }

  template <class Space>
  bool idle(Context<Space> const& context) const {
    return size() == 1 || context.dry();
  }

  static MPI_Op operation(Reduction reduction) { return reduction == Reduction::sum ? MPI_SUM : MPI_MAX; }

  static void count(Traffic::Verb& verb, std::size_t bytes) {
    ++verb.calls;
    verb.bytes += static_cast<Index>(bytes);
  }

  template <class V>
  static Index elements(char const* verb, V const& view) {
    static_assert(Kokkos::is_view_v<V>, "a communicator works on Kokkos views");
    static_assert(detail::MpiNumber<typename V::non_const_value_type>,
                  "a communicator sends float, double or integers");
    require(view.span_is_contiguous(), "communicator: ", verb, " of a view with gaps: copy it into a contiguous one");
    return static_cast<Index>(view.size());
  }

  template <class Part, class Whole>
  Index pieces(char const* verb, Part const& part, Whole const& whole) const {
    static_assert(std::is_same_v<typename Part::non_const_value_type, typename Whole::non_const_value_type>,
                  "the part and the whole have one element type");
    Index const piece = elements(verb, part), all = elements(verb, whole);
    require(piece * size() == all, "communicator: ", verb, " of ", size(), " parts of ", piece,
            " elements and a whole of ", all, ": the whole has as many elements as all parts");
    return piece;
  }

  static int narrow(char const* verb, Index count) {
    require(count <= std::numeric_limits<int>::max(), "communicator: ", verb, " of ", count,
            " elements for each rank, MPI counts to 2^31 - 1: split the unit");
    return static_cast<int>(count);
  }

  template <class Call>
  static void for_pieces(char const* name, Index count, Call const& call) {
    constexpr Index largest = Index{1} << 30;
    for (Index first = 0; first < count; first += largest)
      detail::check_mpi(call(first, static_cast<int>(std::min(largest, count - first))), name);
  }

  template <class Space, class From, class To>
  static void copy(Context<Space> const& context, From const& from, To const& to) {
    using T = typename To::non_const_value_type;
    if (from.data() == to.data()) return;
    context.copy(reshape<T*, Space>(to.data(), to.size()), reshape<T const*, Space>(from.data(), from.size()));
  }

  /// call(from, to) on memory that MPI can use, after the kernels that write it.
  template <class Space, class T, class Call>
  void exchange(Context<Space> const& context, Traffic::Verb& verb, T const* from, Index from_count,
                std::type_identity_t<T>* to, Index to_count, Call const& call) const {
    using Host = Kokkos::View<T*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
    count(verb, static_cast<std::size_t>(from_count) * sizeof(T));
    context.fence("dchag::communicator");
    bool const direct = state_->staging == Staging::never || (on_host<Space> && state_->staging != Staging::always);
    if (direct) return call(from, to);
    auto* const data =
        reinterpret_cast<T*>(state_->staged(static_cast<std::size_t>(from_count + to_count) * sizeof(T)));
    Host const sent(data, static_cast<std::size_t>(from_count)),
        received(data + from_count, static_cast<std::size_t>(to_count));
    context.copy(sent, reshape<T const*, Space>(from, from_count));
    context.fence("dchag::communicator::staged");
    call(sent.data(), received.data());
    context.copy(reshape<T*, Space>(to, to_count), received);
    context.fence("dchag::communicator::staged");
  }

  std::shared_ptr<detail::CommunicatorState> state_;  // none: one rank
};

}  // namespace dchag
