# dchag_program(TARGET): how every program of this project (test, example, benchmark) is compiled.
function(dchag_program target)
  target_link_libraries(${target} PRIVATE dchag::dchag)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  if(DCHAG_ENABLE_WARNINGS)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic)
  endif()
  if(DCHAG_ENABLE_SANITIZERS)
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=all
                                             -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
  endif()
endfunction()
