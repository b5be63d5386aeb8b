# Injected with CMAKE_PROJECT_INCLUDE when ROS 2 comes from PyPI wheels: their exported targets name include
# directories of the machine that built them, and CMake refuses an imported target whose directories do not exist.
# At the end of the configure step, when all packages are found, drop those that are missing here.

function(drop_missing_include_directories)
  get_property(targets DIRECTORY ${CMAKE_SOURCE_DIR} PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT directories)
      continue()
    endif()
    set(existing "")
    foreach(directory IN LISTS directories)
      if(directory MATCHES "^\\$<" OR EXISTS "${directory}")
        list(APPEND existing "${directory}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${existing}")
  endforeach()
endfunction()

# Compiling is most of the first run's wait. Each generated source takes a moment and its headers a second, so the sources
# of a library are compiled as one; but for two libraries, whose sources define the same names.
function(compile_sources_together)
  get_property(targets DIRECTORY ${CMAKE_SOURCE_DIR} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    if(type MATCHES "^(SHARED|MODULE)_LIBRARY$" AND NOT target MATCHES "(generator_c|introspection_cpp)$")
      set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
    endif()
  endforeach()
endfunction()

cmake_language(DEFER CALL compile_sources_together)
cmake_language(DEFER CALL drop_missing_include_directories)
