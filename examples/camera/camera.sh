# A camera that is not there. While the file `hot` is, it fails at more than 5 frames a second.
echo "the camera makes $FPS frames a second"
trap 'exit 0' TERM
while :; do
    if [ "$FPS" -gt 5 ] && [ -e hot ]; then
        echo "too hot for $FPS frames a second" >&2
        exit 1
    fi
    sleep 0.1
done
