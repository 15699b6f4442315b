#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <dchag/io/json.hpp>
#include <dchag/planning/search.hpp>
#include <set>
#include <string>
#include <vector>

namespace planner {

/// Of all that was not chosen: of the chosen candidate the next best meshes, and those that least memory kept from
/// fitting; of every other candidate the best way, or the one of least memory where none fits.
inline std::vector<dchag::Choice> near_misses(dchag::SearchResult const& found) {
  constexpr std::size_t meshes = 2;
  std::string const chosen = found.best ? found.best->label : "";
  std::vector<dchag::Choice> own, others;
  std::set<std::string> seen{chosen};
  for (auto const* list : {&found.others, &found.rejected}) {
    std::size_t const most = own.size() + meshes;
    for (dchag::Choice const& choice : *list) {
      if (choice.label == chosen && own.size() < most) own.push_back(choice);
      if (seen.insert(choice.label).second) others.push_back(choice);
    }
  }
  own.insert(own.end(), others.begin(), others.end());
  return own;
}

/// Prints what the search chose and the nearest of its near misses with their reasons; gives all of them as JSON.
inline dchag::Json print_near_misses(dchag::SearchResult const& found, int ranks) {
  dchag::Json::object_t answer{{"plans", static_cast<dchag::Index>(found.plans)}};
  std::printf("\ndchag on %d, of %zu plans: %s\n", ranks, found.plans,
              found.best ? describe(*found.best).c_str() : "nothing fits");
  if (found.best) answer.emplace_back("chosen", describe(*found.best));
  dchag::Json::array_t misses;
  for (dchag::Choice const& choice : near_misses(found)) {
    constexpr std::size_t printed = 12;
    if (misses.size() < printed) std::printf("  not %s:\n      %s\n", describe(choice).c_str(), choice.reason.c_str());
    misses.push_back(dchag::Json::object_t{{"choice", describe(choice)}, {"reason", choice.reason}});
  }
  answer.emplace_back("not_chosen", std::move(misses));
  return answer;
}

}  // namespace planner
