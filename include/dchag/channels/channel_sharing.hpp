#pragma once

#include <dchag/channels/detail/checks.hpp>
#include <dchag/channels/joint.hpp>
#include <dchag/channels/partition.hpp>
#include <dchag/core/placement.hpp>
#include <dchag/parallel/communicator.hpp>
#include <vector>

namespace dchag::channels {

/// How the ranks of a replica share channels and rows in the front end.
template <class T, class Space>
struct ChannelSharing {
  Joint<T, Space> joint, last_joint;  // of the units below the last, and of the last
  bool rows_of_all;                   // this rank has all channels, and works on its own rows alone
  Communicator head_group;            // the ranks that divide the heads: of one where channels or rows are divided
  std::vector<int> owners;            // of each channel; this rank's number where it has all
  std::vector<Index> own;             // channels of this rank, ascending

  /// `owner_of` says for each channel of the grid which rank owns it, or every_rank for all; it may be empty in a group
  /// of one. Throws where it does not.
  ChannelSharing(PatchGrid const& grid, Communicator const& group, std::vector<int> const& owner_of, Delivery delivery,
                 bool divides_heads)
      : joint(everywhere(owner_of) ? Communicator() : group),
        last_joint(joint.group(), delivery),
        rows_of_all(group.size() > 1 && joint.alone() && delivery == Delivery::own_rows),
        head_group(divides_heads && everywhere(owner_of) && !rows_of_all ? group : Communicator()),
        owners(detail::checked_owners(owner_of, grid, ranks())),
        own(channels_of(owners, rank())),
        channels_divided_(group.size() == 1 || !joint.alone()) {}

  int rank() const { return joint.group().rank(); }
  int ranks() const { return joint.group().size(); }
  bool delivers_own_rows() const { return rows_of_all || last_joint.delivers_own_rows(); }

  /// How the ranks hold what belongs to a channel, and what belongs to a unit that each of them evaluates alone.
  Sharing of_channels() const { return channels_divided_ ? Sharing::divided : of_whole_units(); }
  Sharing of_whole_units() const { return rows_of_all ? Sharing::summed : Sharing::copied; }

 private:
  bool channels_divided_;
};

}  // namespace dchag::channels
