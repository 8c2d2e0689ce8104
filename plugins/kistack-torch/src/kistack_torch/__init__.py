"""What training and model plugins share. It registers no stage; import its modules only inside ``run`` or ``open``."""
