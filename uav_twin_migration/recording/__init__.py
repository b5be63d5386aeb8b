"""Recordings: rosbag2 folders with one MCAP file, written and read without ROS.

`ros2 bag info`, `ros2 bag play` and Foxglove open them. They are written so that a recorder that is killed loses next
to nothing: messages are collected into chunks, and a chunk that has ended is in the file, whole and with a checksum.
"""
