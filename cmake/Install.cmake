# bin/plumb, the bundled model where the program looks for it, the documents and the licence.
include(GNUInstallDirs)
if(TARGET plumb)
  install(TARGETS plumb RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY models/minnow DESTINATION ${CMAKE_INSTALL_DATADIR}/plumb/models OPTIONAL)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
