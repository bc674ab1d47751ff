static const uint8_t table[] = {3, 9, 27, 54, 27, 9};
