# base/version.cc learns the version from the project and the commit from git, at each build, so that
# `plumb --version` is right without configuring anew.
set(commit_header ${CMAKE_BINARY_DIR}/generated/plumb_commit.h)
add_custom_target(plumb_commit BYPRODUCTS ${commit_header}
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DOUT=${commit_header}
          -P ${CMAKE_SOURCE_DIR}/cmake/WriteCommit.cmake)
add_dependencies(plumb_base plumb_commit)
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/base/version.cc PROPERTIES
  INCLUDE_DIRECTORIES ${CMAKE_BINARY_DIR}/generated
  COMPILE_DEFINITIONS "PLUMB_VERSION=\"${PROJECT_VERSION}\";PLUMB_BUILD_TYPE=\"${CMAKE_BUILD_TYPE}\"")
