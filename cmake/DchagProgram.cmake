# dchag_program(TARGET): how every program of this project (test, example, benchmark) is compiled.
function(dchag_program target)
  target_link_libraries(${target} PRIVATE dchag::dchag)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  if(DCHAG_ENABLE_WARNINGS)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic)
  endif()
  if(DCHAG_ENABLE_SANITIZERS)
    # Without the checks of every pointer, which double the time to compile: a wrong one that is used shows anyway.
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=all
                                             -fno-sanitize=null,alignment,object-size,pointer-overflow,vptr
                                             -fno-omit-frame-pointer)
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU) # checks that are called compile faster than checks in line
      target_compile_options(${target} PRIVATE --param=asan-instrumentation-with-call-threshold=0)
    endif()
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
  endif()
endfunction()
