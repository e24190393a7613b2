# Hears what sensors measure, and stops the arm when something is near.
echo "watching"
while read -r event; do
    cm=${event#*'"cm":'}
    cm=${cm%%[!0-9]*}
    if [ "$cm" -lt 10 ]; then
        echo "{\"topic\": \"action.stop\", \"priority\": \"critical\", \"data\": {\"why\": \"$cm cm\"}}"
    fi
done
