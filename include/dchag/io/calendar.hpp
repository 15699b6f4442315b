#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <dchag/core/error.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace dchag {

/// The calendars of the CF conventions that are understood. `standard` is Julian up to 1582-10-04 and Gregorian from
/// the next day, 1582-10-15, on.
enum class Calendar { standard, proleptic_gregorian, noleap, day360 };

/// The calendar that CF calls by that name, whatever its case; throws Error, beginning with source, for any other.
inline Calendar calendar_of(std::string_view name, std::string_view source) {
  std::string lower(name);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (lower == "standard" || lower == "gregorian") return Calendar::standard;
  if (lower == "proleptic_gregorian") return Calendar::proleptic_gregorian;
  if (lower == "noleap" || lower == "365_day") return Calendar::noleap;
  if (lower == "360_day") return Calendar::day360;
  fail(source, ": has the calendar ", detail::quoted(name),
       ", understood are standard, gregorian, proleptic_gregorian, noleap, 365_day and 360_day");
}

/// A day and a second of it.
struct Date {
  int year = 0, month = 1, day = 1;  // month and day from 1 on
  double second = 0;                 // of the day

  auto operator<=>(Date const&) const = default;

  /// YYYY-MM-DD.
  std::string text() const {
    std::array<char, 48> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%04d-%02d-%02d", year, month, day);
    return buffer.data();
  }
};

/// Days in a month of a calendar.
inline int days_in_month(Calendar calendar, std::int64_t year, int month) {
  if (calendar == Calendar::day360) return 30;
  constexpr std::array days{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool const julian = calendar == Calendar::standard && year < 1582;
  bool const leap = calendar != Calendar::noleap && year % 4 == 0 && (julian || year % 100 != 0 || year % 400 == 0);
  return days[static_cast<std::size_t>(month - 1)] + (month == 2 && leap ? 1 : 0);
}

namespace detail {

constexpr std::int64_t floor_divide(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

/// Years are counted from March on here, so that a leap day is the last of its year.
inline std::int64_t leap_days_before(Calendar calendar, bool julian, std::int64_t march_year) {
  if (calendar == Calendar::noleap) return 0;
  std::int64_t const fourth = floor_divide(march_year, 4);
  return julian ? fourth : fourth - floor_divide(march_year, 100) + floor_divide(march_year, 400);
}

/// Days from 0000-03-01 to a date of the Julian or the Gregorian calendar, or of one without leap days.
inline std::int64_t march_days(Calendar calendar, bool julian, std::int64_t year, int month, int day) {
  std::int64_t const march_year = month > 2 ? year : year - 1;
  int const march_month = (month + 9) % 12;
  return march_year * 365 + leap_days_before(calendar, julian, march_year) + (153 * march_month + 2) / 5 + day - 1;
}

constexpr std::int64_t gregorian_begin = 578041;  // 1582-10-15, in Gregorian days since 0000-03-01
constexpr std::int64_t julian_lag = 2;            // Julian days since the Julian 0000-03-01 are that many more

}  // namespace detail

/// Days of a date (its second aside) from a day that is the same for all dates of a calendar. Throws Error, beginning
/// with source, for a date that the calendar does not have.
inline std::int64_t day_number(Calendar calendar, Date const& date, std::string_view source) {
  bool const gap =
      calendar == Calendar::standard && date.year == 1582 && date.month == 10 && date.day > 4 && date.day < 15;
  require(date.month >= 1 && date.month <= 12 && date.day >= 1 &&
              date.day <= days_in_month(calendar, date.year, date.month) && !gap,
          source, ": ", date.text(), " is no date of the calendar");
  if (calendar == Calendar::day360) return std::int64_t{date.year} * 360 + (date.month - 1) * 30 + date.day - 1;
  bool const julian = calendar == Calendar::standard && date < Date{1582, 10, 15};
  return detail::march_days(calendar, julian, date.year, date.month, date.day) - (julian ? detail::julian_lag : 0);
}

/// The date of a day_number.
inline Date date_of_day(Calendar calendar, std::int64_t number) {
  using detail::floor_divide;
  auto const narrow = [](std::int64_t value) { return static_cast<int>(value); };
  if (calendar == Calendar::day360) {
    std::int64_t const year = floor_divide(number, 360), rest = number - year * 360;
    return {narrow(year), narrow(rest / 30) + 1, narrow(rest % 30) + 1};
  }
  bool const julian = calendar == Calendar::standard && number < detail::gregorian_begin;
  if (julian) number += detail::julian_lag;
  auto const begin = [&](std::int64_t march_year) {
    return march_year * 365 + detail::leap_days_before(calendar, julian, march_year);
  };
  std::int64_t year = number < 0 ? floor_divide(number, 365) - 1 : number / 366;  // or earlier
  while (begin(year + 1) <= number) year += 1 + (number - begin(year + 1)) / 366;
  std::int64_t const rest = number - begin(year), march_month = (5 * rest + 2) / 153;
  int const month = narrow(march_month < 10 ? march_month + 3 : march_month - 9);
  return {narrow(month > 2 ? year : year + 1), month, narrow(rest - (153 * march_month + 2) / 5) + 1};
}

/// The times of a file: numbers, the text of their CF unit such as "days since 1979-01-01", and the calendar.
class TimeAxis {
 public:
  /// Throws Error, beginning with source, for a unit that is not days, hours, minutes or seconds since a date of the
  /// calendar, for no times, and for a time that is not finite or more than a million years away.
  TimeAxis(std::vector<double> const& values, std::string_view unit, Calendar calendar, std::string_view source)
      : calendar_(calendar) {
    require(!values.empty(), source, ": has zero times: nothing can be read from it");
    auto const [seconds, reference] = parse(unit, source);
    double const day = static_cast<double>(day_number(calendar, reference, source));
    for (std::size_t i = 0; i < values.size(); ++i) {
      require(std::isfinite(values[i]), source, ": its time ", i, " is not a number");
      double const elapsed = values[i] * seconds + reference.second;
      require(std::abs(elapsed) < 86400 * 366e6, source, ": its time ", i, " = ", values[i], " of unit ",
              detail::quoted(unit), " is more than a million years away");
      double const days = std::floor(elapsed / 86400);
      dates_.push_back(date_of_day(calendar, static_cast<std::int64_t>(day + days)));
      dates_.back().second = elapsed - days * 86400;
    }
  }

  std::size_t size() const { return dates_.size(); }
  Calendar calendar() const { return calendar_; }

  /// All times, in the order of the file.
  std::vector<Date> const& dates() const { return dates_; }
  Date const& operator[](std::size_t i) const { return dates_.at(i); }

  /// The first time in that month; throws Error, naming what there is, where there is none.
  std::size_t at_month(int year, int month) const {
    for (std::size_t i = 0; i < size(); ++i)
      if (dates_[i].year == year && dates_[i].month == month) return i;
    fail("no time is in ", Date{year, month}.text().substr(0, 7), ": there are ", size(), ", the first in ",
         dates_.front().text(), ", the last in ", dates_.back().text());
  }

 private:
  struct Reference {
    double seconds;  // of one unit
    Date date;       // that it counts from, in UTC
  };

  /// Takes the number that a text begins with.
  template <class T>
  static bool take(std::string_view& text, T& value) {
    auto const [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
  }
  static bool take(std::string_view& text, char symbol) {
    if (text.empty() || text.front() != symbol) return false;
    text.remove_prefix(1);
    return true;
  }
  static void skip_blanks(std::string_view& text) {
    while (take(text, ' ')) {
    }
  }

  static double unit_seconds(std::string_view name, std::string_view unit, std::string_view source) {
    auto const is = [&](auto... names) { return ((name == names) || ...); };
    if (is("days", "day", "d")) return 86400;
    if (is("hours", "hour", "hrs", "hr", "h")) return 3600;
    if (is("minutes", "minute", "mins", "min")) return 60;
    if (is("seconds", "second", "secs", "sec", "s")) return 1;
    fail(source, ": has the unit of time ", detail::quoted(unit),
         ", understood are days, hours, minutes and seconds since a date");
  }

  /// [+-]h[h][:mm]; false where it is none of these.
  static bool take_zone(std::string_view& text, double& seconds) {
    if (text == "Z" || text == "UTC" || text == "GMT") return text = {}, true;
    double const sign = take(text, '+') ? 1 : take(text, '-') ? -1 : 0;
    unsigned hours = 0, minutes = 0;
    if (sign == 0 || !take(text, hours) || hours > 14) return false;
    if (take(text, ':') && (!take(text, minutes) || minutes > 59)) return false;
    seconds -= sign * (3600.0 * hours + 60.0 * minutes);
    return true;
  }

  static bool take_clock(std::string_view& text, double& seconds) {
    unsigned hour = 0, minute = 0;
    double second = 0;
    if (!take(text, hour) || hour > 24) return false;
    if (take(text, ':') && (!take(text, minute) || minute > 59)) return false;
    if (take(text, ':') && (!take(text, second) || !(second >= 0 && second < 61))) return false;
    seconds = 3600.0 * hour + 60.0 * minute + second;
    return true;
  }

  static Reference parse(std::string_view unit, std::string_view source) {
    auto const since = unit.find(" since ");
    std::string_view name = unit.substr(0, since == unit.npos ? 0 : since);
    skip_blanks(name);
    while (name.ends_with(' ')) name.remove_suffix(1);
    Reference reference{unit_seconds(name, unit, source), {}};
    std::string_view text = unit.substr(since + 7);
    skip_blanks(text);
    while (text.ends_with(' ')) text.remove_suffix(1);
    Date& date = reference.date;
    bool good = take(text, date.year) && take(text, '-') && take(text, date.month) && take(text, '-') &&
                take(text, date.day) && std::abs(date.year) < 1'000'000;
    if (good && !text.empty()) {
      good = take(text, 'T') || take(text, ' ');
      skip_blanks(text);
      good = good && take_clock(text, date.second);
      skip_blanks(text);
      if (good && !text.empty()) good = take_zone(text, date.second) && text.empty();
    }
    require(good, source, ": has the unit of time ", detail::quoted(unit),
            ", whose date is not written as YYYY-MM-DD, with hh:mm:ss and a time zone or without");
    return reference;
  }

  Calendar calendar_;
  std::vector<Date> dates_;
};

}  // namespace dchag
