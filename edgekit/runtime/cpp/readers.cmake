# What reads bundles and pictures, which needs no OpenVINO: its files, and the libraries that they are linked with.
find_package(nlohmann_json 3.7 REQUIRED)
find_package(OpenSSL 1.1.1 REQUIRED COMPONENTS Crypto)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)

set(READERS decode exif files fit golden jpeg manifest opencv_resize png resize)
list(TRANSFORM READERS PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
list(TRANSFORM READERS APPEND .cpp)
set(READER_LIBRARIES nlohmann_json::nlohmann_json OpenSSL::Crypto JPEG::JPEG PNG::PNG PkgConfig::LIBZIP)
