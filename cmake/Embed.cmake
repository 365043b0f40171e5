# plumb_embed(target file function header): compiles a text file into `target` as
# std::string_view plumb::function(), declared in `header`.
function(plumb_embed target file function header)
  set(out ${CMAKE_BINARY_DIR}/generated/${function}.cc)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DIN=${file} -DOUT=${out} -DFUNCTION=${function} -DHEADER=${header}
            -P ${CMAKE_SOURCE_DIR}/cmake/WriteEmbedded.cmake
    DEPENDS ${file} ${CMAKE_SOURCE_DIR}/cmake/WriteEmbedded.cmake)
  target_sources(${target} PRIVATE ${out})
endfunction()
