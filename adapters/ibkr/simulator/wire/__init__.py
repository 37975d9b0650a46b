"""The wire of TWS: frames, message numbers, protobuf and text layouts."""
