#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <dchag/io/calendar.hpp>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "scratch.hpp"

namespace dchag::tests {
namespace {

Date only(Calendar calendar, std::string_view unit, double value) {
  return TimeAxis({value}, unit, calendar, "file")[0];
}
std::string refusal(std::string_view unit, Calendar calendar = Calendar::standard, double value = 0) {
  return error_of([&] { TimeAxis({value}, unit, calendar, "file"); });
}

// Dates as the Python package cftime 1.6 gives them, years counted with a year 0.
TEST_CASE("times since a date are those of a reference implementation, in every calendar") {
  struct Expected {
    std::string_view unit;
    double value;
    std::array<Date, 4> dates;  // standard, proleptic_gregorian, noleap, 360_day
  };
  std::vector<Expected> const table{
      {"days since 0001-01-01",
       730121.25,
       {Date{2000, 1, 1, 21600}, {2000, 1, 3, 21600}, {2001, 5, 2, 21600}, {2029, 2, 12, 21600}}},
      {"days since 0001-01-01",
       -400.5,
       {Date{-1, 11, 27, 43200}, {-1, 11, 27, 43200}, {-1, 11, 26, 43200}, {-1, 11, 20, 43200}}},
      {"days since 0001-01-01", 577736, {Date{1582, 10, 4}, {1582, 10, 16}, {1583, 11, 3}, {1605, 10, 27}}},
      {"days since 0001-01-01", 577737, {Date{1582, 10, 15}, {1582, 10, 17}, {1583, 11, 4}, {1605, 10, 28}}},
      {"hours since 1979-1-1 00:00:00", 306072, {Date{2013, 12, 1}, {2013, 12, 1}, {2013, 12, 10}, {2014, 6, 4}}},
      {"hours since 1979-1-1 00:00:00",
       -1,
       {Date{1978, 12, 31, 82800}, {1978, 12, 31, 82800}, {1978, 12, 31, 82800}, {1978, 12, 30, 82800}}},
      {"seconds since 2000-02-28 12:30:15.5",
       172800,
       {Date{2000, 3, 1, 45015.5}, {2000, 3, 1, 45015.5}, {2000, 3, 2, 45015.5}, {2000, 2, 30, 45015.5}}},
      {"minutes since 1582-10-04T23:59Z", 1, {Date{1582, 10, 15}, {1582, 10, 5}, {1582, 10, 5}, {1582, 10, 5}}},
      {"days since -4712-01-01", 2451545, {Date{2000, 1, 1}, {2000, 2, 8}, {2004, 7, 25}, {2097, 11, 6}}},
      {"days since -4712-01-01", -1e6, {Date{-7450, 2, 24}, {-7450, 2, 4}, {-7452, 4, 11}, {-7490, 3, 21}}}};
  constexpr std::array calendars{Calendar::standard, Calendar::proleptic_gregorian, Calendar::noleap, Calendar::day360};
  for (auto const& expected : table)
    for (std::size_t c = 0; c < calendars.size(); ++c) {
      CAPTURE(expected.unit);
      CAPTURE(expected.value);
      CAPTURE(c);
      CHECK(only(calendars[c], expected.unit, expected.value) == expected.dates[c]);
    }
}

TEST_CASE("every day number is the date whose number it is, without gaps") {
  for (auto const calendar : {Calendar::standard, Calendar::proleptic_gregorian, Calendar::noleap, Calendar::day360}) {
    Date before = date_of_day(calendar, -50001);
    int wrong = 0;
    for (std::int64_t number = -50000; number < 750000; number += number % 1000 == 0 ? 500 : 1) {
      Date const date = date_of_day(calendar, number);
      wrong += day_number(calendar, date, "test") == number && before < date ? 0 : 1;
      before = date;
    }
    CHECK(wrong == 0);
  }
}

// The example of the CF conventions, section 4.4: 21:15:42.5 in Coordinated Universal Time.
TEST_CASE("a time zone is that of the reference, dates are in UTC") {
  CHECK(only(Calendar::standard, "seconds since 1992-10-8 15:15:42.5 -6:00", 0) == Date{1992, 10, 8, 76542.5});
  CHECK(only(Calendar::standard, "hours since 1992-10-8 02:00 +03:30", 0) == Date{1992, 10, 7, 81000});
  CHECK(only(Calendar::standard, "hours since 1992-10-8T02:00:00 UTC", 0) == Date{1992, 10, 8, 7200});
}

TEST_CASE("calendars are known by their CF names alone") {
  CHECK(calendar_of("Gregorian", "file") == Calendar::standard);
  CHECK(calendar_of("365_day", "file") == Calendar::noleap);
  CHECK(calendar_of("360_day", "file") == Calendar::day360);
  CHECK(error_of([] { calendar_of("lunar", "file"); }) ==
        "file: has the calendar \"lunar\", understood are standard, gregorian, proleptic_gregorian, noleap, 365_day "
        "and 360_day");
}

TEST_CASE("a unit or a time that makes no sense is one clear error") {
  for (std::string_view const unit : {"days", "days since", "days since ", "days since then", "days since 1979",
                                      "days since 1979-01", "days since 1979-01-01x", "days since 1979-01-01 25:00",
                                      "days since 1979-01-01 00:61", "days since 1979-01-01 00:00 +99:00",
                                      "days since 1979-01-01 00:00:00 Mars", "days since 99999999999999-01-01"}) {
    CAPTURE(unit);
    CHECK(holds(refusal(unit), "file: has the unit of time \"" + std::string(unit)));
  }
  CHECK(holds(refusal("months since 1979-01-01"), "understood are days, hours, minutes and seconds"));
  CHECK(refusal("days since 1979-02-30") == "file: 1979-02-30 is no date of the calendar");
  CHECK(refusal("days since 1979-02-30", Calendar::day360).empty());
  CHECK(refusal("days since 1582-10-10") == "file: 1582-10-10 is no date of the calendar");
  CHECK(refusal("days since 1582-10-10", Calendar::proleptic_gregorian).empty());
  CHECK(refusal("days since 2000-02-29", Calendar::noleap) == "file: 2000-02-29 is no date of the calendar");
  CHECK(holds(refusal("days since 1979-13-01"), "is no date"));
  CHECK(holds(refusal("days since 1979--1-01"), "is no date"));
  CHECK(holds(refusal("days since 1979-01-01", Calendar::standard, 1e300), "a million years away"));
  CHECK(holds(refusal("days since 1979-01-01", Calendar::standard, std::numeric_limits<double>::quiet_NaN()),
              "its time 0 is not a number"));
  CHECK(holds(error_of([] { TimeAxis({}, "days since 1979-01-01", Calendar::standard, "file"); }), "zero times"));
}

TEST_CASE("a month is found, or the error says which there are") {
  TimeAxis const axis({0, 31, 59}, "days since 1979-01-01", Calendar::standard, "file");
  CHECK(axis.at_month(1979, 3) == 2);
  CHECK(error_of([&] { axis.at_month(2020, 1); }) ==
        "no time is in 2020-01: there are 3, the first in 1979-01-01, the last in 1979-03-01");
}

}  // namespace
}  // namespace dchag::tests
