#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <array>
#include <cstddef>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/types.hpp>
#include <dchag/parallel/detail/exchange.hpp>
#include <dchag/parallel/detail/mpi.hpp>
#include <dchag/parallel/pending.hpp>
#include <dchag/parallel/traffic.hpp>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace dchag {

enum class Reduction { sum, max };

/// A group of ranks and the collectives among them, on contiguous Kokkos views of float, double or an integer type.
/// Every verb must be called by all ranks of the group, in the same order, with the same sizes; it waits for the
/// context's kernels before and returns when its result may be used. start_ and the verb's name starts it instead and
/// returns what is to be waited for; several may be under way, and other verbs be called meanwhile. In a dry context a
/// verb does nothing. Failures of MPI are thrown as Error.
///
/// A communicator of one rank, which is also the default, does nothing and never calls MPI. Copies are the same
/// communicator and count together.
///
/// A planned communicator never calls MPI either: it takes the place of a real one where a job that does not run is
/// planned. Its verbs work in dry contexts, and count there what a real one's would send, while there is a Work to
/// tell.
class Communicator {
 public:
  Communicator() = default;

  /// A duplicate of an MPI communicator, freed with the last copy. Collective.
  explicit Communicator(MPI_Comm comm, Staging staging = Staging::device) {
    MPI_Comm duplicate = MPI_COMM_NULL;
    detail::check_mpi(MPI_Comm_dup(comm, &duplicate), "MPI_Comm_dup");
    adopt(duplicate, staging);
  }

  /// One of ranks that are not there. Throws where there is no such rank.
  static Communicator planned(RankGroup const& group, int rank) {
    require(group.count >= 1, "planned communicator: ", group.count, " ranks: give at least 1");
    require(rank >= 0 && rank < group.count, "planned communicator: rank = ", rank, " of ", group.count,
            " ranks: give one from 0 to ", group.count - 1);
    Communicator planned;
    if (group.count == 1) return planned;
    planned.state_ = std::make_shared<detail::CommunicatorState>();
    planned.state_->rank = rank;
    planned.state_->size = group.count;
    planned.state_->planned = group;
    return planned;
  }
  bool is_planned() const { return state_ && state_->planned; }
  /// The ranks of a planned one.
  RankGroup group() const { return is_planned() ? *state_->planned : RankGroup{}; }

  /// Whom a planned communicator tells from here on; null: nobody. Throws for a real one.
  void tell(Work* work) const {
    if (!state_) return;
    require(is_planned(), "communicator: a real one has nothing to tell a Work: plan on a planned mesh");
    state_->work = work;
  }

  int rank() const { return state_ ? state_->rank : 0; }
  int size() const { return state_ ? state_->size : 1; }

  Traffic const& traffic() const {
    static Traffic const none;
    return state_ ? state_->traffic : none;
  }
  /// The same phase by phase (see Phase), in the order in which they first sent something. The sum is traffic().
  std::vector<PhaseTraffic> const& traffic_by_phase() const {
    static std::vector<PhaseTraffic> const none;
    return state_ ? state_->phases : none;
  }
  /// That of one phase; nothing where it has sent nothing.
  Traffic traffic(std::string_view phase) const {
    for (auto const& [name, traffic] : traffic_by_phase())
      if (name == phase) return traffic;
    return {};
  }
  void reset_traffic() const {
    if (state_) state_->reset_traffic();
  }

  /// The ranks that give the same color (not negative), ordered by key and then by rank here.
  Communicator split(int color, int key) const {
    require(color >= 0, "communicator: split by color = ", color, ": use colors from 0 on");
    Communicator part;
    if (size() == 1) return part;
    require(!is_planned(), "communicator: a planned one cannot be split: what the other ranks give is not known");
    MPI_Comm comm = MPI_COMM_NULL;
    detail::check_mpi(MPI_Comm_split(state_->comm, color, key, &comm), "MPI_Comm_split");
    part.adopt(comm, state_->staging);
    return part;
  }

  /// values = the sum (or maximum) of all ranks' values, element by element, on every rank.
  template <class Space, class Values>
  void all_reduce(Context<Space> const& context, Values const& values, Reduction reduction = Reduction::sum) const {
    post_all_reduce(blocking, context, values, reduction).wait(context);
  }
  template <class Space, class Values>
  [[nodiscard]] Pending<Space> start_all_reduce(Context<Space> const& context, Values const& values,
                                                Reduction reduction = Reduction::sum) const {
    return post_all_reduce(started, context, values, reduction);
  }

  /// The sum (or maximum) of a few numbers of the host from every rank. Where it is planned: as if all gave the same.
  template <detail::MpiNumber T, std::size_t numbers>
  std::array<T, numbers> all_reduce(std::array<T, numbers> values, Reduction reduction = Reduction::sum) const {
    if (size() == 1) return values;
    state_->count(&Traffic::all_reduce, sizeof(values));
    if (is_planned()) {
      if (reduction == Reduction::sum)
        for (T& value : values) value = static_cast<T>(value * static_cast<T>(size()));
      return values;
    }
    detail::check_mpi(MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(numbers), detail::mpi_type<T>(),
                                    operation(reduction), state_->comm),
                      "MPI_Allreduce");
    return values;
  }
  template <detail::MpiNumber T>
  T all_reduce(T value, Reduction reduction = Reduction::sum) const {
    return all_reduce(std::array<T, 1>{value}, reduction)[0];
  }

  /// whole = the parts of all ranks one after the other, by rank. The part may be this rank's place in the whole, on
  /// all ranks or on none.
  template <class Space, class Part, class Whole>
  void all_gather(Context<Space> const& context, Part const& part, Whole const& whole) const {
    post_all_gather(blocking, context, part, whole).wait(context);
  }
  template <class Space, class Part, class Whole>
  [[nodiscard]] Pending<Space> start_all_gather(Context<Space> const& context, Part const& part,
                                                Whole const& whole) const {
    return post_all_gather(started, context, part, whole);
  }

  /// The texts of all ranks, by rank, whatever their lengths: for reports and checks, not for steps.
  std::vector<std::string> all_gather(std::string const& text) const {
    if (size() == 1) return {text};
    state_->count(&Traffic::all_gather, text.size());
    auto const ranks = static_cast<std::size_t>(size());
    if (is_planned()) return std::vector<std::string>(ranks, text);
    std::vector<int> lengths(ranks), begins(ranks);
    int const length = narrow("all_gather", static_cast<Index>(text.size()));
    detail::check_mpi(MPI_Allgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, state_->comm), "MPI_Allgather");
    Index const total = std::accumulate(lengths.begin(), lengths.end(), Index{0});
    std::string all(static_cast<std::size_t>(narrow("all_gather", total)), '\0');
    std::exclusive_scan(lengths.begin(), lengths.end(), begins.begin(), 0);
    detail::check_mpi(MPI_Allgatherv(text.data(), length, MPI_CHAR, all.data(), lengths.data(), begins.data(), MPI_CHAR,
                                     state_->comm),
                      "MPI_Allgatherv");
    std::vector<std::string> texts;
    for (std::size_t r = 0; r < ranks; ++r)
      texts.push_back(all.substr(static_cast<std::size_t>(begins[r]), static_cast<std::size_t>(lengths[r])));
    return texts;
  }

  /// part = the rank-th of equal pieces of the sum (or maximum) of all ranks' wholes. The part lies outside the whole.
  template <class Space, class Whole, class Part>
  void reduce_scatter(Context<Space> const& context, Whole const& whole, Part const& part,
                      Reduction reduction = Reduction::sum) const {
    post_reduce_scatter(blocking, context, whole, part, reduction).wait(context);
  }
  template <class Space, class Whole, class Part>
  [[nodiscard]] Pending<Space> start_reduce_scatter(Context<Space> const& context, Whole const& whole, Part const& part,
                                                    Reduction reduction = Reduction::sum) const {
    return post_reduce_scatter(started, context, whole, part, reduction);
  }

  /// The rank-th of equal pieces of `outgoing` goes to that rank; the pieces that arrive stand in `incoming`, by rank.
  /// The two do not overlap.
  template <class Space, class Outgoing, class Incoming>
  void all_to_all(Context<Space> const& context, Outgoing const& outgoing, Incoming const& incoming) const {
    post_all_to_all(blocking, context, outgoing, incoming).wait(context);
  }
  template <class Space, class Outgoing, class Incoming>
  [[nodiscard]] Pending<Space> start_all_to_all(Context<Space> const& context, Outgoing const& outgoing,
                                                Incoming const& incoming) const {
    return post_all_to_all(started, context, outgoing, incoming);
  }

  /// values = those of rank `root`, on every rank.
  template <class Space, class Values>
  void broadcast(Context<Space> const& context, Values const& values, int root = 0) const {
    post_broadcast(blocking, context, values, root).wait(context);
  }
  template <class Space, class Values>
  [[nodiscard]] Pending<Space> start_broadcast(Context<Space> const& context, Values const& values,
                                               int root = 0) const {
    return post_broadcast(started, context, values, root);
  }

  /// Returns when every rank has called it. Says nothing about kernels.
  void barrier() const {
    if (size() == 1) return;
    state_->count(&Traffic::barrier, 0);
    if (is_planned()) return;
    detail::check_mpi(MPI_Barrier(state_->comm), "MPI_Barrier");
  }

 private:
  static constexpr auto blocking = detail::Form::blocking, started = detail::Form::started;

  void adopt(MPI_Comm comm, Staging staging) {
    auto state = std::make_shared<detail::CommunicatorState>();
    state->comm = comm;
    state->staging = staging;
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    detail::check_mpi(MPI_Comm_rank(comm, &state->rank), "MPI_Comm_rank");
    detail::check_mpi(MPI_Comm_size(comm, &state->size), "MPI_Comm_size");
    if (state->size > 1) state_ = std::move(state);
  }

  template <class Space, class Values>
  Pending<Space> post_all_reduce(detail::Form form, Context<Space> const& context, Values const& values,
                                 Reduction reduction) const {
    using T = typename Values::non_const_value_type;
    Index const count = elements("all_reduce", values);
    if (size() == 1) return {};
    return exchange<T>(form, context, &Traffic::all_reduce, {values.data(), count, values.data(), count, 0},
                       [&](auto const& call, T const* from, T* to) {
                         detail::for_pieces(count, [&](Index first, int piece) {
                           void const* source = from == to ? MPI_IN_PLACE : from + first;
                           call("MPI_Allreduce", MPI_Allreduce, MPI_Iallreduce, source, to + first, piece,
                                detail::mpi_type<T>(), operation(reduction), state_->comm);
                         });
                       });
  }

  template <class Space, class Part, class Whole>
  Pending<Space> post_all_gather(detail::Form form, Context<Space> const& context, Part const& part,
                                 Whole const& whole) const {
    using T = typename Whole::non_const_value_type;
    Index const piece = pieces("all_gather", part, whole), place = rank() * piece;
    if (size() == 1) return copy(context, part, whole);
    int const number = narrow("all_gather", piece);
    return exchange<T>(form, context, &Traffic::all_gather, {part.data(), piece, whole.data(), piece * size(), place},
                       [&](auto const& call, T const* from, T* to) {
                         void const* source = from == to + place ? MPI_IN_PLACE : from;
                         call("MPI_Allgather", MPI_Allgather, MPI_Iallgather, source, number, detail::mpi_type<T>(), to,
                              number, detail::mpi_type<T>(), state_->comm);
                       });
  }

  template <class Space, class Whole, class Part>
  Pending<Space> post_reduce_scatter(detail::Form form, Context<Space> const& context, Whole const& whole,
                                     Part const& part, Reduction reduction) const {
    using T = typename Part::non_const_value_type;
    Index const piece = pieces("reduce_scatter", part, whole);
    if (size() == 1) return copy(context, whole, part);
    int const number = narrow("reduce_scatter", piece);
    return exchange<T>(form, context, &Traffic::reduce_scatter, {whole.data(), piece * size(), part.data(), piece},
                       [&](auto const& call, T const* from, T* to) {
                         call("MPI_Reduce_scatter_block", MPI_Reduce_scatter_block, MPI_Ireduce_scatter_block, from, to,
                              number, detail::mpi_type<T>(), operation(reduction), state_->comm);
                       });
  }

  template <class Space, class Outgoing, class Incoming>
  Pending<Space> post_all_to_all(detail::Form form, Context<Space> const& context, Outgoing const& outgoing,
                                 Incoming const& incoming) const {
    using T = typename Incoming::non_const_value_type;
    Index const whole = elements("all_to_all", outgoing);
    require(whole == elements("all_to_all", incoming) && whole % size() == 0, "communicator: all_to_all of ", whole,
            " elements into ", incoming.size(), " among ", size(),
            " ranks: both must be the same multiple of the ranks");
    if (size() == 1) return copy(context, outgoing, incoming);
    int const number = narrow("all_to_all", whole / size());
    return exchange<T>(form, context, &Traffic::all_to_all, {outgoing.data(), whole, incoming.data(), whole},
                       [&](auto const& call, T const* from, T* to) {
                         call("MPI_Alltoall", MPI_Alltoall, MPI_Ialltoall, from, number, detail::mpi_type<T>(), to,
                              number, detail::mpi_type<T>(), state_->comm);
                       });
  }

  template <class Space, class Values>
  Pending<Space> post_broadcast(detail::Form form, Context<Space> const& context, Values const& values,
                                int root) const {
    using T = typename Values::non_const_value_type;
    Index const count = elements("broadcast", values);
    require(root >= 0 && root < size(), "communicator: broadcast from rank ", root, " of ", size());
    if (size() == 1) return {};
    bool const sends = rank() == root;
    return exchange<T>(
        form, context, &Traffic::broadcast, {values.data(), sends ? count : 0, values.data(), sends ? 0 : count, 0},
        [&](auto const& call, T const*, T* to) {
          detail::for_pieces(count, [&](Index first, int piece) {
            call("MPI_Bcast", MPI_Bcast, MPI_Ibcast, to + first, piece, detail::mpi_type<T>(), root, state_->comm);
          });
        });
  }

  static MPI_Op operation(Reduction reduction) { return reduction == Reduction::sum ? MPI_SUM : MPI_MAX; }

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

  template <class Space, class From, class To>
  static Pending<Space> copy(Context<Space> const& context, From const& from, To const& to) {
    using T = typename To::non_const_value_type;
    if (from.data() != to.data())
      context.copy(reshape<T*, Space>(to.data(), to.size()), reshape<T const*, Space>(from.data(), from.size()));
    return {};
  }

  /// What a rank sends and where its result goes; place: where in the result MPI may find what is sent.
  template <class T>
  struct Operands {
    T const* from;
    Index sent;
    T* to;
    Index received;
    Index place = -1;
  };

  /// post(caller, from, to) on memory that MPI can use, after the kernels that write it.
  template <class T, class Space, class Post>
  Pending<Space> exchange(detail::Form form, Context<Space> const& context, Traffic::Verb Traffic::*verb,
                          Operands<T> const& operands, Post const& post) const {
    auto const [from, sent, to, received, place] = operands;
    auto const bytes = static_cast<std::size_t>(sent) * sizeof(T);
    if (context.dry() && state_->work == nullptr) return {};
    require(context.dry() || !is_planned(),
            "communicator: a planned one has no ranks to exchange data with: use it in contexts that measure");
    std::size_t const item = state_->count(verb, bytes, form, std::max(sent, received) * static_cast<Index>(sizeof(T)));
    if (context.dry()) return form == blocking ? Pending<Space>() : Pending<Space>(state_, state_->take_planned(item));
    context.fence("dchag::communicator");
    Pending<Space> pending(state_, state_->take_exchange());
    auto& exchange = state_->exchanges[pending.exchange_];
    detail::Caller const call{form, exchange};
    if (state_->staging == Staging::never || (on_host<Space> && state_->staging != Staging::always)) {
      post(call, from, to);
      return pending;
    }
    Index const source = place < 0 ? received : place, staged = std::max(received, source + sent);
    auto* const memory = reinterpret_cast<T*>(exchange.staged(static_cast<std::size_t>(staged) * sizeof(T)));
    using Host = Kokkos::View<T*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
    context.copy(Host(memory + source, static_cast<std::size_t>(sent)), reshape<T const*, Space>(from, sent));
    context.fence("dchag::communicator::staged");
    post(call, memory + source, memory);
    pending.deliver(memory, to, received);
    return pending;
  }

  std::shared_ptr<detail::CommunicatorState> state_;  // none: one rank
};

}  // namespace dchag
