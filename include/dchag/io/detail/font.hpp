#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace dchag::detail {

inline constexpr int glyph_width = 5;
inline constexpr int glyph_height = 9;     // 7 above the base line, 2 below
inline constexpr int glyph_advance = 6;    // from one character to the next
inline constexpr int glyphs_in_band = 16;  // characters side by side in the sheet below

/// Printable ASCII from the space on, 16 characters a band; the last one stands for everything else.
inline constexpr std::array<std::string_view, 54> glyph_sheet{
    "        #    # #   # #    #   ##  #  ##     #      #   #                                      # ",
    "        #    # #   # #   #### ##  # #  #    #     #     #     #     #                         # ",
    "        #    # #  ##### # #      #  # #     #    #       #  # # #   #                        #  ",
    "        #          # #   ###    #    #           #       #   ###  #####       #####         #   ",
    "        #         #####   # #  #    # # #        #       #  # # #   #                      #    ",
    "                   # #  ####  #  ## #  #          #     #     #     #     ##          ##  #     ",
    "        #          # #    #   #  ##  ## #          #   #                  ##          ##  #     ",
    "                                                                           #                    ",
    "                                                                          #                     ",
    " ###    #    ###   ###     #  #####   ##  #####  ###   ###                 #         #     ###  ",
    "#   #  ##   #   # #   #   ##  #      #        # #   # #   #   ##    ##    #           #   #   # ",
    "#  ## # #       #     #  # #  ####  #        #  #   # #   #   ##    ##   #    #####    #      # ",
    "# # #   #      #    ##  #  #      # ####     #   ###   ####             #               #    #  ",
    "##  #   #     #       # #####     # #   #   #   #   #     #              #    #####    #    #   ",
    "#   #   #    #    #   #    #  #   # #   #   #   #   #    #    ##    ##    #           #         ",
    " ###  ##### #####  ###     #   ###   ###    #    ###   ##     ##    ##     #         #      #   ",
    "                                                                     #                          ",
    "                                                                    #                           ",
    " ###    #   ####   ###  ####  ##### #####  ###  #   #  ###    ### #   # #     #   # #   #  ###  ",
    "#   #  # #  #   # #   # #   # #     #     #   # #   #   #      #  #  #  #     ## ## ##  # #   # ",
    "# ### #   # #   # #     #   # #     #     #     #   #   #      #  # #   #     # # # ##  # #   # ",
    "# # # #   # ####  #     #   # ####  ####  #  ## #####   #      #  ##    #     # # # # # # #   # ",
    "# ### ##### #   # #     #   # #     #     #   # #   #   #      #  # #   #     #   # #  ## #   # ",
    "#     #   # #   # #   # #   # #     #     #   # #   #   #   #  #  #  #  #     #   # #  ## #   # ",
    " ###  #   # ####   ###  ####  ##### #      ###  #   #  ###   ##   #   # ##### #   # #   #  ###  ",
    "                                                                                                ",
    "                                                                                                ",
    "####   ###  ####   ###  ##### #   # #   # #   # #   # #   # #####  ###  #      ###    #         ",
    "#   # #   # #   # #   #   #   #   # #   # #   # #   # #   #     #  #    #        #   # #        ",
    "#   # #   # #   # #       #   #   # #   # #   #  # #   # #     #   #     #       #  #   #       ",
    "####  #   # ####   ###    #   #   #  # #  # # #   #     #     #    #      #      #              ",
    "#     # # # # #       #   #   #   #  # #  # # #  # #    #    #     #       #     #              ",
    "#     #  #  #  #  #   #   #   #   #   #   # # # #   #   #   #      #        #    #              ",
    "#      ## # #   #  ###    #    ###    #    # #  #   #   #   #####  ###      #  ###              ",
    "                                                                                          ##### ",
    "                                                                                                ",
    " #          #               #         ##        #       #      #   #     ##                     ",
    "  #         #               #        #  #       #                  #      #                     ",
    "   #   ###  # ##   ###   ## #  ###   #     #### # ##   ##     ##   #  #   #   ## #  # ##   ###  ",
    "          # ##  # #   # #  ## #   # ###   #   # ##  #   #      #   # #    #   # # # ##  # #   # ",
    "       #### #   # #     #   # #####  #    #   # #   #   #      #   ##     #   # # # #   # #   # ",
    "      #   # #   # #   # #   # #      #    #  ## #   #   #      #   # #    #   # # # #   # #   # ",
    "       #### ####   ###   ####  ###   #     ## # #   #  ###     #   #  #  ###  # # # #   #  ###  ",
    "                                              #             #  #                                ",
    "                                           ###               ##                                 ",
    "                         #                                           ##   #   ##          ##### ",
    "                         #                                          #     #     #         #   # ",
    "# ##   ## # # ##   #### ####  #   # #   # #   # #   # #   # #####   #     #     #         #   # ",
    "##  # #  ## ##  # #      #    #   # #   # # # #  # #  #   #    #  ##      #      ##  ## # #   # ",
    "#   # #   # #      ###   #    #   #  # #  # # #   #   #   #   #     #     #     #   #  #  #   # ",
    "#   # #   # #         #  #  # #  ##  # #  # # #  # #  #  ##  #      #     #     #         #   # ",
    "####   #### #     ####    ##   ## #   #    # #  #   #  ## # #####    ##   #   ##          ##### ",
    "#         #                                               #               #                     ",
    "#         #                                            ###                                      "};

/// Whether a character has ink in that column and row of its cell.
constexpr bool glyph_ink(char character, int column, int row) {
  int const index = character >= ' ' && character < '\x7F' ? character - ' ' : 95;
  int const line = index / glyphs_in_band * glyph_height + row;
  int const place = index % glyphs_in_band * glyph_advance + column;
  return glyph_sheet[static_cast<std::size_t>(line)][static_cast<std::size_t>(place)] == '#';
}

}  // namespace dchag::detail
