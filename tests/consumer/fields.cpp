// A user's file that reads NetCDF through the component of the installed package.
#include <dchag/io/netcdf.hpp>

std::size_t channels_of(char const* path) { return dchag::NetcdfFile(path).channels().size(); }
