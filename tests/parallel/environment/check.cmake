# Runs PROGRAM (a command and its arguments). STATUS is "zero" or "nonzero"; OUTPUT is a regular expression that what it prints
# must match. A job that does not end within 20 seconds is stopped, and has failed.
cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND ${PROGRAM} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output TIMEOUT 20)
if(result MATCHES "timeout")
  message(FATAL_ERROR "the job has not ended after 20 seconds:\n${output}")
elseif(STATUS STREQUAL "zero" AND NOT result EQUAL 0)
  message(FATAL_ERROR "exit status ${result}, expected 0:\n${output}")
elseif(STATUS STREQUAL "nonzero" AND result EQUAL 0)
  message(FATAL_ERROR "exit status 0, expected a failure:\n${output}")
elseif(NOT output MATCHES "${OUTPUT}")
  message(FATAL_ERROR "'${OUTPUT}' is not in the output:\n${output}")
endif()
