"""What a PBX does with calls, legs, devices and trunks. Pure: time and chance come in, events go out."""
