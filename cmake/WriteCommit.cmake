# Run at build time: writes the commit of SOURCE into OUT when it has changed.
# cmake -DSOURCE=... -DOUT=... -P WriteCommit.cmake
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE PLUMB_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(PLUMB_COMMIT "unknown")
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define PLUMB_COMMIT \"@PLUMB_COMMIT@\"\n" @ONLY)
