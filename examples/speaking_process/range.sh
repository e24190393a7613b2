# Plays a distance sensor: what it measures comes nearer, and goes away again.
while :; do
    for cm in 80 40 9; do
        echo "{\"topic\": \"sensor.range\", \"data\": {\"cm\": $cm}}"
        sleep 0.2
    done
done
