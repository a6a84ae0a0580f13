#!/bin/sh
# Regenerates src/inference/gen from proto/. Needs protoc (Debian: protobuf-compiler) and this repository's
# installed dev dependencies; nothing else in the build needs protoc.
set -eu
cd "$(dirname "$0")/.."
rm -rf src/inference/gen
mkdir -p src/inference/gen
protoc --proto_path=proto \
  --plugin=protoc-gen-es=node_modules/.bin/protoc-gen-es \
  --es_out=src/inference/gen --es_opt=target=ts,import_extension=js \
  proto/onnx.proto proto/zklora.proto proto/grpc/health/v1/health.proto proto/grpc/reflection/v1/reflection.proto
